"""Invented names of people, places and ships, and things that may be collected or carried."""

from __future__ import annotations

STARTS = (
    *("Quill", "Brack", "Oster", "Vel", "Ard", "Tov", "Mer", "Halm", "Kes", "Lund", "Dor", "Fen", "Gris"),
    *("Hol", "Jar", "Kel", "Lom", "Mor", "Nar", "Orl", "Pell", "Ran", "Sel", "Thar", "Ulm", "Vard", "Wex"),
    *("Yar", "Zel", "Cor", "Bel", "Dun", "Esk", "Fal", "Gar", "Hex", "Ing", "Jor", "Kar", "Lis"),
)
MIDDLES = ("", "a", "en", "i", "o", "er", "an", "im", "ou", "ys", "eth", "ar")
PLACE_ENDS = (
    *("mere", "water", "vane", "ford", "holm", "wick", "stead", "by", "combe", "thorpe", "ness", "dale"),
    *("moor", "haven", "gate", "bury", "minster", "low", "hythe", "shaw"),
)
SURNAME_ENDS = (
    *("ling", "man", "sen", "ova", "ett", "ard", "ick", "wright", "ander", "ossi", "ell", "quist", "ero"),
    *("ham", "ini", "ovic", "more", "ton", "eau", "ask"),
)
COLOURS = (
    *("Grey", "Amber", "Scarlet", "Silver", "Golden", "Ivory", "Russet", "Azure", "Sable", "Copper", "Pale"),
    *("Bright", "Dusky", "Crimson", "Emerald", "Violet", "Bronze", "Hoary", "Tawny", "Pearl", "Indigo"),
    *("Ashen", "Saffron", "Coral", "Jade", "Umber", "Cobalt", "Ochre", "Rosy", "Black", "White", "Brown"),
)
ANIMALS = (
    *("Plover", "Heron", "Curlew", "Otter", "Marten", "Falcon", "Swift", "Osprey", "Badger", "Petrel"),
    *("Gannet", "Lapwing", "Kestrel", "Wren", "Dolphin", "Sturgeon", "Lynx", "Stoat", "Raven", "Swan"),
    *("Puffin", "Tern", "Grebe", "Linnet", "Merlin", "Bittern", "Egret", "Finch", "Siskin", "Dunlin"),
    *("Porpoise", "Walrus", "Ermine", "Beaver", "Adder", "Pike", "Salmon", "Cormorant", "Avocet", "Shrike"),
)
FIRST_NAMES = (
    *("Alma", "Bruno", "Clara", "Dario", "Edith", "Felix", "Greta", "Hugo", "Ines", "Jonas", "Klara", "Leo"),
    *("Mina", "Nils", "Olga", "Pavel", "Rosa", "Stefan", "Tilda", "Umberto", "Vera", "Walter", "Yusuf"),
)
TRAITS = (
    *("brass", "wooden", "broken", "antique", "mechanical", "painted", "miniature", "leather", "silver"),
    *("rusted", "Bavarian", "folding", "enamelled", "hand-cut", "iron", "musical", "striped", "musty"),
)
THINGS = (
    *("compasses", "accordions", "weathervanes", "typewriters", "lanterns", "sundials", "puppets", "clocks"),
    *("barometers", "fiddles", "telescopes", "kettles", "umbrellas", "saddles", "inkwells", "birdcages"),
    *("sledges", "chandeliers", "bellows", "thimbles", "snuffboxes", "music stands", "fishing reels"),
)
