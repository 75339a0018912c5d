import sys

import oxmqtt.enums

sys.modules[__name__] = oxmqtt.enums
