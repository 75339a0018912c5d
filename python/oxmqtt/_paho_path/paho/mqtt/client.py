import sys

import oxmqtt.client

sys.modules[__name__] = oxmqtt.client
