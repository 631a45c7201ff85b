import { signal } from '@preact/signals';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Problem } from '../../core/problem.ts';
import type { WhipOptions } from '../../core/whip.ts';
import { QUALITIES } from '../../studio/capture.ts';
import { Sender } from '../../studio/sender.ts';

const stream = (name: string) => ({ name }) as unknown as MediaStream;

/** A sender whose publisher says what the test wants, and whose tickets come from `answer`. */
function studio(answer: () => Response = () => Response.json({ url: '/whip', token: 'pt_1' })) {
  const asked: string[] = [];
  vi.stubGlobal('fetch', async (path: string) => (asked.push(path), answer()));
  const desk = { state: signal<'scheduled' | 'live' | 'ended'>('scheduled'), startShow: vi.fn(async () => null), options: { showId: 's1' } };
  const capture = {
    stream: signal<MediaStream | null>(stream('camera')),
    video: signal<MediaStreamTrack | null>({} as MediaStreamTrack),
    quality: signal(QUALITIES[1]!),
  };
  const publisher = { start: vi.fn(), stop: vi.fn(), replace: vi.fn(async () => undefined), stats: vi.fn(async () => null) };
  let options: WhipOptions | null = null;
  const sender = new Sender(desk as never, capture as never, (given) => ((options = given), publisher));
  const say = (...said: Parameters<NonNullable<WhipOptions['onState']>>) => options!.onState!(...said);
  return { sender, desk, capture, publisher, asked, say, options: () => options! };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('going live', () => {
  it('asks for a ticket and sends with it, at the chosen quality', async () => {
    const { sender, publisher, asked, options, capture } = studio();
    await sender.goLive();
    expect(asked).toEqual(['/api/shows/s1/publish-ticket']);
    expect(options()).toMatchObject({ url: '/whip', token: 'pt_1', maxBitrateKbps: 2500, simulcast: true });
    expect(publisher.start).toHaveBeenCalledWith(capture.stream.value);
  });

  it('starts a scheduled show once the picture is there, and no show twice', async () => {
    const { sender, desk, say } = studio();
    await sender.goLive();
    say('connecting', null);
    expect(desk.startShow).not.toHaveBeenCalled();
    say('live', null);
    expect(desk.startShow).toHaveBeenCalledOnce();
    desk.state.value = 'live';
    say('retrying', null);
    say('live', null);
    expect(desk.startShow).toHaveBeenCalledOnce();
  });

  it('says that there is no picture rather than sending none', async () => {
    const { sender, capture, asked } = studio();
    capture.video.value = null;
    await sender.goLive();
    expect([sender.state.value, sender.problem.value?.code]).toEqual(['refused', 'no_picture']);
    expect(asked).toEqual([]);
  });

  it('says why a ticket was refused', async () => {
    const refusal = { code: 'show_ended', detail: 'The show has ended.' };
    const { sender, publisher } = studio(() => Response.json(refusal, { status: 409 }));
    await sender.goLive();
    expect([sender.state.value, sender.problem.value?.code]).toEqual(['refused', 'show_ended']);
    expect(sender.sending.value).toBe(false);
    expect(publisher.start).not.toHaveBeenCalled();
  });

  it('gives up where somebody else is sending, and can try again', async () => {
    const { sender, say, publisher } = studio();
    await sender.goLive();
    say('refused', new Problem({ status: 409, code: 'publisher_present', detail: 'taken' }));
    expect(sender.problem.value?.message).toBe('This show already has a picture.');
    expect([sender.sending.value, publisher.stop.mock.calls.length]).toEqual([false, 1]);
    await sender.goLive();
    expect(publisher.start).toHaveBeenCalledTimes(2);
  });

  it('goes on with another picture in the same session', async () => {
    const { sender, capture, publisher } = studio();
    await sender.goLive();
    capture.stream.value = stream('screen');
    expect(publisher.replace).toHaveBeenCalledWith(capture.stream.value);
    sender.stop();
    capture.stream.value = stream('camera');
    expect(publisher.replace).toHaveBeenCalledOnce();
  });

  it('keeps a minute of numbers and forgets them when the line breaks', async () => {
    const { sender, say, publisher } = studio();
    publisher.stats.mockResolvedValue({ bitrate_kbps: 2000 } as never);
    await sender.goLive();
    say('live', null);
    await vi.advanceTimersByTimeAsync(70_000);
    expect(sender.history.value).toHaveLength(60);
    say('retrying', null);
    expect(sender.history.value).toHaveLength(0);
  });

  it('takes nothing from a publisher it has let go', async () => {
    const { sender, say } = studio();
    await sender.goLive();
    sender.stop();
    say('live', null);
    expect(sender.state.value).toBe('idle');
  });
});
