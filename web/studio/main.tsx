import '../ui/desk/desk.css';
import './studio.css';
import { Gate } from '../ui/desk/gate.tsx';
import { DeskStore, showIdOf } from '../ui/desk/store.ts';
import { start } from '../ui/start.tsx';
import { Capture } from './capture.ts';
import { Page } from './page.tsx';
import { Sender } from './sender.ts';

const store = new DeskStore({ showId: showIdOf(location.pathname), admits: (can) => can.host, title: 'Studio' });
const capture = new Capture(navigator.mediaDevices);
const sender = new Sender(store, capture);
void store.load();

start(
  <Gate store={store} place="Studio" wants="It takes the role of a host, and the show must be yours or nobody’s.">
    <Page store={store} capture={capture} sender={sender} />
  </Gate>,
);
