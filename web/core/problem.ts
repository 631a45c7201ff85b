/**
 * What can go wrong, as one kind of error: a stable `code`, what happened (`message`) and what to do.
 *
 * From the server as RFC 9457 problem details; from here with the codes `offline` (no answer at all), `no_answer`
 * (none in time) and `bad_answer` (not what the API promises).
 */

export interface ProblemLine {
  variant_id: string;
  code: string;
  available?: number | null;
  price_minor?: number | null;
  buyer_limit?: number | null;
}

export interface ProblemBody {
  title?: string;
  status?: number;
  code?: string;
  detail?: string;
  what_to_do?: string;
  fields?: Record<string, string>;
  retry_after_s?: number;
  lines?: ProblemLine[];
}

export class Problem extends Error {
  override name = 'Problem';
  readonly code: string;
  readonly status: number;
  readonly whatToDo: string;
  readonly fields: Record<string, string>;
  readonly retryAfterS: number | null;
  readonly lines: ProblemLine[];

  constructor(body: ProblemBody) {
    super(body.detail || body.title || 'Something went wrong.');
    this.code = body.code ?? 'unknown';
    this.status = body.status ?? 0;
    this.whatToDo = body.what_to_do ?? '';
    this.fields = Object.fromEntries(Object.entries(body.fields ?? {}).map(([name, words]) => [name, forPeople(words)]));
    this.retryAfterS = body.retry_after_s ?? null;
    this.lines = body.lines ?? [];
  }
}

/** A schema's own words ("Expected `str` of length >= 10") are for programs. */
function forPeople(words: string): string {
  return /^Expected|^Object|`/.test(words) ? 'Check this.' : words;
}

export function offline(): Problem {
  return new Problem({
    code: 'offline',
    detail: 'The shop cannot be reached.',
    what_to_do: 'Check your connection and try again.',
  });
}

export function noAnswer(): Problem {
  return new Problem({
    code: 'no_answer',
    detail: 'The shop did not answer in time.',
    what_to_do: 'Try again in a moment.',
  });
}

/** Any thrown value as a Problem, so that every failure can be shown the same way. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new Problem({ code: 'unexpected', detail, what_to_do: 'Reload the page and try again.' });
}
