import sys

import oxmqtt.publish

sys.modules[__name__] = oxmqtt.publish
