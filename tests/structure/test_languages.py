"""Programs and settings in languages that have words and signs of their own."""

from __future__ import annotations

import pytest
from found_units import header_of, of_kind, units

HASKELL = """module Graph where

import qualified Data.Set as Set

type Graph a = Map a (Set a)

empty :: Ord a => Graph a
empty = Map.empty

insertNode :: Ord a => a -> Graph a -> Graph a
insertNode u g
    | member u g = g
    | otherwise = insert u empty g

size :: Graph a -> Maybe a -> Int
size Empty _ = 0
size (Node n) (Just b) = n

edges :: Ord a => Graph a -> [(a, a)]
edges = concat . elems . mapWithKey (\\u -> map (u,) . toList)

main :: IO ()
main = hspec $ do
    describe "edges" $ do
        it "are none in a graph that is empty" $ property $
            edges empty == []
"""

DOCKERFILE = """FROM python:3.12-slim AS build

RUN pip install build
WORKDIR /src
COPY . /src
RUN python -m build && \\
    pip install dist/lamp.whl

USER keeper
EXPOSE 8080
ENTRYPOINT ["lamp", "serve"]
"""

PROTO = """syntax = "proto3";

package lamp;

// A lamp.
message Lamp {
  string name = 1;
  repeated int32 oil = 2;
}

service Keeper {
  rpc Light(Lamp) returns (Lamp);
}
"""

GRAPHQL = """type Lamp {
  name: String!
  oil(unit: Unit = LITRE): Float
}

input Amount {
  litres: Float!
}

interface Lit {
  lit: Boolean!
}
"""

NGINX = """http {
  upstream lamps {
    server 10.0.0.1:80;
  }
  server {
    listen 80;
    location ~ \\.(php|html)$ {
      proxy_pass http://lamps;
    }
  }
}
"""

MAKEFILE = """OUT = build
SRC := lamp.c oil.c

.PHONY: all clean

all: $(OUT)/lamp

$(OUT)/lamp: $(SRC)
\tcc -o $@ $^

clean:
\trm -rf build
\techo the lamp is out
"""


@pytest.mark.parametrize("text", [HASKELL, DOCKERFILE, PROTO, GRAPHQL, NGINX, MAKEFILE])
def test_all_of_it_is_code(text: str) -> None:
    assert {kind for kind, _ in units(text)} <= {"code", "opener"}


def test_a_signature_of_haskell_belongs_to_its_function() -> None:
    assert "empty :: Ord a => Graph a\nempty = Map.empty" in of_kind("code", HASKELL)
    insert = HASKELL[HASKELL.index("insertNode ::") : HASKELL.index("\n\nsize")]
    assert insert in of_kind("opener", HASKELL)
    assert header_of(HASKELL, 'describe "edges"') == "main :: IO ()\nmain = hspec $ do"


OPENERS = {
    PROTO: ["message Lamp {", "service Keeper {"],
    GRAPHQL: ["type Lamp {", "input Amount {", "interface Lit {"],
    NGINX: ["http {", "upstream lamps {", "server {", "location ~ \\.(php|html)$ {"],
    MAKEFILE: ["$(OUT)/lamp: $(SRC)", "clean:"],
}


@pytest.mark.parametrize("text", OPENERS)
def test_blocks_open_what_is_in_them(text: str) -> None:
    assert of_kind("opener", text) == OPENERS[text]


PROSE = """The keeper wrote this down one night.

Note:
\tThe lamp is red, and it burns all night long.

Menu:
\tFile -> Open shows the lamps.

USER rights are those of the keeper. RUN the lamp at night, and type the name in the box.
"""


def test_prose_with_such_words_is_none() -> None:
    assert {kind for kind, _ in units(PROSE)} <= {"prose", "heading"}
