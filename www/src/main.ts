/** The page: a note on the left, what can be found in it on the right. Nothing of it is stored and nothing is sent. */
import { split } from 'clinicalbert';
import { byId } from './dom';
import { refuseOtherDrops } from './drop';
import { startFillMask } from './fill-mask';
import { startModel } from './model';
import { startNote } from './note';
import { keepForOffline } from './offline';
import { forbidRequests, showRequests, watchRequests } from './requests';
import { drawSections, startSections } from './sections';
import { forgetSimilarity, startSimilarity } from './similarity';
import { forgetSurprise, startSurprise } from './surprise';
import { startTabs } from './tabs';

const count = (): void => void showRequests();

startTabs(byId('tabs', HTMLElement));
startNote(() => {
  void drawSections();
  forgetSimilarity();
  forgetSurprise();
});
refuseOtherDrops();
startSections();
startSimilarity(count);
startFillMask(count);
startSurprise(count);

// The first call loads the wasm; the time shown is to be that of cutting alone.
await split('').catch(() => undefined);
await drawSections();
const modelChanged = (): void => {
  count();
  void drawSections();
};
await Promise.all([startModel(modelChanged), keepForOffline()]);
forbidRequests();
watchRequests();
document.documentElement.dataset['ready'] = 'true';
