import sys

import oxmqtt.exception

sys.modules[__name__] = oxmqtt.exception
