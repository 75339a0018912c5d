import sys

import oxmqtt.matcher

sys.modules[__name__] = oxmqtt.matcher
