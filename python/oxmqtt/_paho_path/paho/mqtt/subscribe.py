import sys

import oxmqtt.subscribe

sys.modules[__name__] = oxmqtt.subscribe
