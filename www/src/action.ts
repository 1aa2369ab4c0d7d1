/** Something that takes a while: shows how far it is, can be cancelled, and says in words how it ended. */
import { element, showProblem } from './dom';

export type Report = (done: number, total: number, what?: string) => void;

export class Action {
  readonly #bar = element('progress');
  readonly #cancel = element('button', '', 'Cancel');
  readonly #status = element('p', 'status');
  readonly #problem = element('p', 'problem');
  #controller: AbortController | undefined;

  /** Shows itself in `place`; `starters` rest while it runs. */
  constructor(
    place: HTMLElement,
    name: string,
    private readonly starters: (HTMLButtonElement | HTMLInputElement)[],
  ) {
    this.#bar.setAttribute('aria-label', name);
    this.#cancel.type = 'button';
    this.#cancel.addEventListener('click', () => this.#controller?.abort());
    this.#status.setAttribute('role', 'status');
    this.#problem.setAttribute('role', 'alert');
    showProblem(this.#problem);
    const running = element('div', 'running', this.#bar, this.#cancel);
    place.append(running, this.#status, this.#problem);
    this.#show(false);
  }

  /** Does `work`, unless it is being done already; `undefined` if it was cancelled or failed. */
  async run<Result>(begin: string, work: (signal: AbortSignal, report: Report) => Promise<Result>): Promise<Result | undefined> {
    if (this.#controller !== undefined) return undefined;
    const controller = new AbortController();
    this.#controller = controller;
    showProblem(this.#problem);
    this.say(begin);
    this.#bar.removeAttribute('value');
    this.#show(true);
    try {
      return await work(controller.signal, (done, total, what) => {
        this.#bar.max = Math.max(total, 1);
        this.#bar.value = done;
        if (what !== undefined) this.say(what);
      });
    } catch (error) {
      if (controller.signal.aborted) this.say('Cancelled.');
      else this.complain(error);
      return undefined;
    } finally {
      this.#controller = undefined;
      this.#show(false);
    }
  }

  cancel(): void {
    this.#controller?.abort();
  }

  say(text: string): void {
    if (this.#status.textContent !== text) this.#status.textContent = text;
  }

  complain(error: unknown): void {
    this.say('');
    showProblem(this.#problem, error);
  }

  #show(isRunning: boolean): void {
    const held = document.activeElement;
    this.#bar.hidden = this.#cancel.hidden = !isRunning;
    for (const starter of this.starters) starter.disabled = isRunning;
    // Focus goes where the keyboard is wanted next, not back to the top of the page.
    if (isRunning && this.starters.some((starter) => starter === held)) this.#cancel.focus();
    if (!isRunning && held === this.#cancel) this.starters[0]?.focus();
  }
}
