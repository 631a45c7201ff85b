import '../ui/desk/desk.css';
import './console.css';
import { DeskStore, showIdOf } from '../ui/desk/store.ts';
import { Gate } from '../ui/desk/gate.tsx';
import { start } from '../ui/start.tsx';
import { Page } from './page.tsx';

const store = new DeskStore({
  showId: showIdOf(location.pathname),
  admits: (can) => can.produce || can.moderate || can.host,
  title: 'Console',
});
void store.load();

start(
  <Gate store={store} place="Console" wants="It takes the role of a producer, moderator or host.">
    <Page store={store} />
  </Gate>,
);
