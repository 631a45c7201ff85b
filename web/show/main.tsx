import { prepare } from '../core/whep.ts';
import { start } from '../ui/start.tsx';
import { Page } from './page.tsx';
import { ShowStore } from './store.ts';
import './show.css';
import './stage.css';
import './cards.css';
import './talk.css';
import './reactions.css';
import './landscape.css';

// /shows/{id}; a show that is not public takes its pass from #pass=, which no server and no log ever sees.
const showId = decodeURIComponent(location.pathname.split('/').filter(Boolean).at(-1) ?? '');
const store = new ShowStore(showId, new URLSearchParams(location.hash.slice(1)).get('pass'));
if ('RTCPeerConnection' in globalThis) store.prepared = prepare();
void store.load();

start(<Page store={store} />);
