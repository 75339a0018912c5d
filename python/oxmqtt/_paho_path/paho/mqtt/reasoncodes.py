import sys

import oxmqtt.reasoncodes

sys.modules[__name__] = oxmqtt.reasoncodes
