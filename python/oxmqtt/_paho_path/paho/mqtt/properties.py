import sys

import oxmqtt.properties

sys.modules[__name__] = oxmqtt.properties
