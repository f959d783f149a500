"""What people call things elsewhere, and what that is here. Plain data: `lottery.config.answers` reads it.

Case, - and _ count nowhere. What is plain is taken for what it is, with the same run id. Where it
is not, an answer says why and what to type.
"""

from lottery.wording.synonyms.answer import Answer as Answer
from lottery.wording.synonyms.commands import ALIASES as ALIASES
from lottery.wording.synonyms.commands import ANYWAY as ANYWAY
from lottery.wording.synonyms.commands import COMMANDS as COMMANDS
from lottery.wording.synonyms.commands import HABITS as HABITS
from lottery.wording.synonyms.commands import LISTING as LISTING
from lottery.wording.synonyms.options import CHOICES as CHOICES
from lottery.wording.synonyms.options import GROUPS as GROUPS
from lottery.wording.synonyms.options import OPTIONS as OPTIONS
from lottery.wording.synonyms.options import TORCHVISION as TORCHVISION
from lottery.wording.synonyms.questions import ANSWERS as ANSWERS
from lottery.wording.synonyms.questions import IMPORTED as IMPORTED
from lottery.wording.synonyms.questions import OFF as OFF
from lottery.wording.synonyms.questions import PRETRAINED as PRETRAINED
from lottery.wording.synonyms.questions import RESUMES as RESUMES
from lottery.wording.synonyms.questions import REWINDS as REWINDS
from lottery.wording.synonyms.questions import STARTED as STARTED
from lottery.wording.synonyms.settings import BOARDS as BOARDS
from lottery.wording.synonyms.settings import COUNTED as COUNTED
from lottery.wording.synonyms.settings import EACH_LEVEL as EACH_LEVEL
from lottery.wording.synonyms.settings import FOREIGN as FOREIGN
from lottery.wording.synonyms.settings import KEPT as KEPT
from lottery.wording.synonyms.settings import REMOVED as REMOVED
from lottery.wording.synonyms.settings import REMOVED_EACH as REMOVED_EACH
from lottery.wording.synonyms.settings import SETTINGS as SETTINGS
from lottery.wording.synonyms.settings import SEVERAL as SEVERAL
from lottery.wording.synonyms.settings import SHORT as SHORT
from lottery.wording.synonyms.settings import SWITCHES as SWITCHES
from lottery.wording.synonyms.settings import TIMES as TIMES
from lottery.wording.synonyms.settings import VALUES as VALUES
