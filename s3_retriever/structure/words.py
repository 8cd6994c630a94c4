"""Words that tell what a line is, as hashes that kernels search."""

from __future__ import annotations

from s3_retriever.structure.characters import hashes

CODE_WORDS = hashes(
    "def class import from return if elif else for while try except finally raise with assert async await "
    "yield lambda pass public private protected static void int const let var function func fn struct "
    "enum impl use package namespace using export switch case throw catch interface extends type local "
    "end include define ifdef ifndef endif typedef template final override internal foreach do module "
    "require select insert update create alter drop echo fi done esac bool char float double long string "
    "mut pub mod trait match unsafe defp defmodule"
)
"""First words of lines of code."""

OPENING_WORDS = hashes(
    "def class function func fn sub struct enum impl interface trait namespace module procedure record "
    "object union protocol extension describe it test init deinit defp defmodule"
)
"""Words in a line that opens what its lines belong to: a function, a class."""

NAMING_WORDS = hashes("message service oneof type input server location upstream http events stream")
"""First words of lines that end with a brace and open what is in it: as in GraphQL and nginx."""

INSTRUCTIONS = hashes(
    "from run copy add env cmd entrypoint workdir expose arg user label volume healthcheck shell onbuild"
)
"""First words, in capitals, of lines of a Dockerfile."""

CLASS_WORDS = hashes("class struct enum impl interface trait record object protocol extension")
"""Those of them whose lines are methods, which may have no word or type before their names."""

CONTROL_WORDS = hashes(
    "if elif else for while try except finally with switch case do catch foreach match until unless when "
    "return synchronized lock using fixed elseif elsif guard defer go where"
)
"""First words of lines that open a block which is no function."""

SECTION_WORDS = hashes(
    "chapter section part appendix article annex book volume act scene kapitel abschnitt teil "
    " anhang artikel chapitre partie annexe capítulo sección parte anexo artículo capitolo sezione "
    "articolo глава раздел часть статья приложение "
    "§ art. sec. kap. cap. čl. гл. ст."
)
"""First words of headings with a number; those with a stop, and the sign, stand before digits only."""

CAPTION_WORDS = hashes(
    "table figure tab fig exhibit listing plate abbildung tabelle abb tableau tabla figura cuadro tabella "
    "tabela рисунок рис таблица табл"
)
"""First words of captions, before a number."""

# What a full stop follows without ending a sentence, whatever comes after it.
ABBREVIATIONS = hashes(
    "dr mr mrs ms prof rev hon st sr jr gen col lt sgt capt gov sen rep pres messrs mme mlle vs al cf viz "
    "approx ca fig figs eq eqs eqn sect ch chap vol vols nos pp eds refs jan feb apr aug sept oct nov nr "
    "bzw vgl usf abs abb bd hrsg evtl ggf inkl dipl ing frl hl str tel sra srta ud uds dña núm pág págs "
    "sig sigg dott avv art mgr chr env гл ст рис табл им ул обл г гг в вв тыс млн млрд руб см др пр tzn "
    "np tj dn br nt inż ks bl dz dra drs bpk cmdr maj adm mt डॉ प्रो ড ডা মো zzgl ul św проф акад mevr tp "
    "exmo exma exmos exmas ilmo ilma profa dª mª avda gral cnel tte pdte pgs ths pl sz ifj özv gosp jl hab "
    "płk ppłk mjr κα κκ просп наб пер бул вул ім пос напр ср англ лат нем греч исп např sv nám rndr mudr "
    "judr phdr kgl resp exkl doç yrd örn bkz bijv dhr spett zob aprox श्री श्रीमती पं स्व प्रा திரு "
    "திருமதி డా శ్రీ ಡಾ ಶ್ರೀ ഡോ ശ്രീ ડૉ શ્રી ਡਾ"
)

NUMBERED = hashes(
    "no sec para paras cl reg kl godz blz pag kap cap stk str č čl čp obr vyd tlf afd hfst mwst jg anm ziff "
    "aufl taf tab rys poz ust lok séc кв корп оф разд прил чл gem max min mind geb gest ok cca kb rozdz rn "
    "tz inc cir temp παρ αρ रु ps prov isa jer ezek dan hos zech matt mk lk jn rom cor gal eph phil thess heb "
    "exod deut josh judg kgs chr"
)
"""What a full stop follows without ending a sentence if a number or the sign of a paragraph comes next."""

CAPITALISED = hashes(
    "hr jh sto sta ste dl dna brig av mah cad sok kab kec kel gent egr mw eng op loc mio mrd civ crim fr esim"
)
"""What a full stop follows without ending a sentence if its first letter alone is a capital: Hr., Jh."""

BEFORE_ORDINALS = hashes(
    "der die das dem den des im zum zur vom beim einen einem einer mein meinen meinem meiner meine sein "
    "seinen seinem seiner seine ihr ihren ihrem ihrer ihre jeder jede jedes jeden jedem"
)
"""Words of German before a number with a full stop that is an ordinal if a word comes next."""

MONTHS = hashes(
    "januar februar märz april mai juni juli august september oktober november dezember jahrhundert jh "
    "jahrhunderts juillet klasse auflage etage stock mal geburtstag ausgabe yüzyıl yüzyılın yüzyılda"
)
"""What follows a number with a full stop that is an ordinal, in German and its neighbours."""
