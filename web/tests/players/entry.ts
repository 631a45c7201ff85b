/** Clients of other makers, put on a page as they come from their packages: they must work with our WHIP and WHEP. */

import { WebRTCPlayer } from '@eyevinn/webrtc-player';
import { WHIPClient } from '@eyevinn/whip-web-client';

Object.assign(window, { WebRTCPlayer, WHIPClient });
