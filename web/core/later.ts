/** One piece of work that is due later; another takes its place. */
export class Later {
  #timer: ReturnType<typeof setTimeout> | undefined;

  get isDue(): boolean {
    return this.#timer !== undefined;
  }

  in(ms: number, work: () => void): void {
    this.clear();
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      work();
    }, ms);
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
