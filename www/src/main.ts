/** The page: a note on the left, what can be found in it on the right. Nothing of it is stored and nothing is sent. */
import { split } from 'clinicalbert';
import { byId } from './dom';
import { startFillMask } from './fill-mask';
import { startModel } from './model';
import { startNote } from './note';
import { keepForOffline } from './offline';
import { forbidRequests, showRequests, watchRequests } from './requests';
import { drawSections, startSections } from './sections';
import { startSimilarity } from './similarity';
import { startSurprise } from './surprise';
import { startTabs } from './tabs';

const count = (): void => void showRequests();

startTabs(byId('tabs', HTMLElement));
startNote(() => void drawSections());
startSections();
startSimilarity(count);
startFillMask(count);
startSurprise(count);

// The first call loads the wasm; the time shown is to be that of cutting alone.
await split('').catch(() => undefined);
await drawSections();
await Promise.all([startModel(count), keepForOffline()]);
forbidRequests();
watchRequests();
document.documentElement.dataset['ready'] = 'true';
