"""Every error a user can meet: one tree, each with a stable code and an HTTP status; one module for each subject.

The sentences live in `webui/locales/{ja,en}.json` under `error.<code>`; a test demands both. An error
carries parameters for the sentence and a `detail` for the log, never document text or a secret.
"""

from appliance.errors.accounts import *
from appliance.errors.audit import *
from appliance.errors.backups import *
from appliance.errors.box import *
from appliance.errors.bundles import *
from appliance.errors.destinations import *
from appliance.errors.documents import *
from appliance.errors.exporting import *
from appliance.errors.image import *
from appliance.errors.models import *
from appliance.errors.pictures import *
from appliance.errors.root import HakoError as HakoError
from appliance.errors.root import Param as Param
from appliance.errors.root import by_code as by_code
from appliance.errors.updates import *
from appliance.errors.vault import *
