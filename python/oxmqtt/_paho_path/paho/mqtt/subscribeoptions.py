import sys

import oxmqtt.subscribeoptions

sys.modules[__name__] = oxmqtt.subscribeoptions
