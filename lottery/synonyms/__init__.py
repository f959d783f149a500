"""What people call things elsewhere, and what that is here. Plain data: `lottery.answers` reads it.

Case, - and _ count nowhere. What is plain is taken for what it is, with the same run id. Where it
is not, an answer says why and what to type.
"""

from lottery.synonyms.answer import Answer as Answer
from lottery.synonyms.commands import ALIASES as ALIASES
from lottery.synonyms.commands import ANYWAY as ANYWAY
from lottery.synonyms.commands import COMMANDS as COMMANDS
from lottery.synonyms.commands import HABITS as HABITS
from lottery.synonyms.commands import LISTING as LISTING
from lottery.synonyms.options import CHOICES as CHOICES
from lottery.synonyms.options import GROUPS as GROUPS
from lottery.synonyms.options import OPTIONS as OPTIONS
from lottery.synonyms.options import TORCHVISION as TORCHVISION
from lottery.synonyms.questions import ANSWERS as ANSWERS
from lottery.synonyms.questions import IMPORTED as IMPORTED
from lottery.synonyms.questions import OFF as OFF
from lottery.synonyms.questions import PRETRAINED as PRETRAINED
from lottery.synonyms.questions import RESUMES as RESUMES
from lottery.synonyms.questions import REWINDS as REWINDS
from lottery.synonyms.settings import BOARDS as BOARDS
from lottery.synonyms.settings import COUNTED as COUNTED
from lottery.synonyms.settings import EACH_LEVEL as EACH_LEVEL
from lottery.synonyms.settings import FOREIGN as FOREIGN
from lottery.synonyms.settings import KEPT as KEPT
from lottery.synonyms.settings import REMOVED as REMOVED
from lottery.synonyms.settings import REMOVED_EACH as REMOVED_EACH
from lottery.synonyms.settings import SETTINGS as SETTINGS
from lottery.synonyms.settings import SEVERAL as SEVERAL
from lottery.synonyms.settings import SHORT as SHORT
from lottery.synonyms.settings import SWITCHES as SWITCHES
from lottery.synonyms.settings import TIMES as TIMES
from lottery.synonyms.settings import VALUES as VALUES
