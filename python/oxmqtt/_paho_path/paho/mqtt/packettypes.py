import sys

import oxmqtt.packettypes

sys.modules[__name__] = oxmqtt.packettypes
