import type { CaptureFault } from './capture.ts';

export const MICROPHONE_FAULTS: Record<CaptureFault, string> = {
  denied: 'The microphone is blocked. Allow it in the browser’s settings, then try again.',
  none: 'No microphone found. Viewers will hear nothing.',
  in_use: 'Another program holds the microphone.',
  lost: 'The microphone went away. Viewers hear nothing.',
  unsupported: 'This page can’t use a microphone here.',
  failed: 'The microphone did not start.',
};
