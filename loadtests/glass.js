// A clock in the picture: 32 blocks carry 26 bits of milliseconds and a 6-bit checksum, so that a viewer can say how old the
// frame it sees is, and how long the picture stood still. Injected into pages by loadtests/browser.py; both ends run on one
// machine and one clock.
window.glass = (() => {
  const COLUMNS = 8, ROWS = 4, SIDE = 40, WIDTH = COLUMNS * SIDE, HEIGHT = ROWS * SIDE;
  const now = () => Math.floor(performance.timeOrigin + performance.now()) & 0x3ffffff;
  const checksum = (ms) => [0, 6, 12, 18, 24].reduce((sum, shift) => sum ^ ((ms >>> shift) & 63), 0x15);

  function clockStream() {
    const canvas = Object.assign(document.createElement('canvas'), { width: WIDTH, height: HEIGHT });
    const pen = canvas.getContext('2d', { alpha: false });
    const draw = () => {
      const ms = now(), sum = checksum(ms);
      for (let i = 0; i < 32; i++) {
        const bit = i < 26 ? (ms >>> i) & 1 : (sum >>> (i - 26)) & 1;
        pen.fillStyle = bit ? '#fff' : '#000';
        pen.fillRect((i % COLUMNS) * SIDE, Math.floor(i / COLUMNS) * SIDE, SIDE, SIDE);
      }
      requestAnimationFrame(draw);
    };
    draw();
    document.body.append(canvas);
    return canvas.captureStream(30);
  }

  function age(video, pen) {
    pen.drawImage(video, 0, 0, WIDTH, HEIGHT);
    const bits = [];
    for (let i = 0; i < 32; i++) {
      const x = (i % COLUMNS) * SIDE + SIDE / 2, y = Math.floor(i / COLUMNS) * SIDE + SIDE / 2;
      bits.push(pen.getImageData(x, y, 1, 1).data[1] > 127 ? 1 : 0);
    }
    const ms = bits.slice(0, 26).reduce((sum, bit, i) => sum + bit * 2 ** i, 0);
    const sum = bits.slice(26).reduce((total, bit, i) => total + bit * 2 ** i, 0);
    return checksum(ms) === sum ? now() - ms : null;
  }

  function play(stream) {
    const video = Object.assign(document.createElement('video'), { muted: true, autoplay: true, playsInline: true });
    video.srcObject = stream;
    document.body.append(video);
    return video;
  }

  function measure(video, seconds) {
    const canvas = new OffscreenCanvas(WIDTH, HEIGHT);
    const pen = canvas.getContext('2d', { willReadFrequently: true, alpha: false });
    const ages = [];
    let unreadable = 0;
    return new Promise((resolve) => {
      const frame = () => {
        const ms = age(video, pen);
        if (ms === null) unreadable++; else ages.push(ms);
        video.requestVideoFrameCallback(frame);
      };
      video.requestVideoFrameCallback(frame);
      setTimeout(() => resolve({ ages, unreadable }), seconds * 1000);
    });
  }

  // The longest stands of the picture, each less the frame interval that it would have had anyway; and what the player counted.
  function stands(video, seconds, fps) {
    const began = performance.now(), gaps = [];
    let shown = 0, last = 0, longest = 0, longestAt = 0;
    const note = (gap) => {
      gaps.push(gap);
      if (gap > longest) [longest, longestAt] = [gap, (last - began) / 1000];
    };
    const seen = (now) => {
      if (last) note(now - last - 1000 / fps);
      last = now;
      shown++;
      video.requestVideoFrameCallback(seen);
    };
    video.requestVideoFrameCallback(seen);
    return new Promise((resolve) => setTimeout(async () => {
      note(last ? performance.now() - last - 1000 / fps : seconds * 1000);
      const stats = [...(await window.glassViewer.getStats()).values()];
      const inbound = stats.find((s) => s.type === 'inbound-rtp' && s.kind === 'video') ?? {};
      resolve({ shown, longest, longestAt, over100: gaps.filter((gap) => gap > 100).length, inbound });
    }, seconds * 1000));
  }

  async function post(url, sdp, token) {
    const headers = { 'Content-Type': 'application/sdp' };
    if (token) headers.Authorization = `Bearer ${token}`;
    const answer = await fetch(url, { method: 'POST', headers, body: sdp });
    const text = await answer.text();
    if (answer.status !== 201) throw new Error(`${answer.status} ${text}`);
    return text;
  }

  async function publish(url, token) {
    const pc = new RTCPeerConnection();
    for (const track of clockStream().getTracks()) {
      const sender = pc.addTransceiver(track, { direction: 'sendonly' });
      const codecs = RTCRtpSender.getCapabilities('video').codecs.filter((c) => /VP8/.test(c.mimeType));
      sender.setCodecPreferences(codecs);
    }
    await pc.setLocalDescription();
    await pc.setRemoteDescription({ type: 'answer', sdp: await post(url, pc.localDescription.sdp, token) });
    window.glassPublisher = pc;
  }

  async function watch(url) {
    const pc = new RTCPeerConnection();
    const stream = new MediaStream();
    pc.ontrack = (event) => stream.addTrack(event.track);
    pc.addTransceiver('video', { direction: 'recvonly' });
    await pc.setLocalDescription();
    await pc.setRemoteDescription({ type: 'answer', sdp: await post(url, pc.localDescription.sdp) });
    window.glassViewer = pc;
    return play(stream);
  }

  async function loop() {
    const a = new RTCPeerConnection(), b = new RTCPeerConnection();
    a.onicecandidate = (event) => b.addIceCandidate(event.candidate);
    b.onicecandidate = (event) => a.addIceCandidate(event.candidate);
    const stream = new MediaStream();
    b.ontrack = (event) => stream.addTrack(event.track);
    for (const track of clockStream().getTracks()) a.addTransceiver(track, { direction: 'sendonly' });
    await a.setLocalDescription();
    await b.setRemoteDescription(a.localDescription);
    await b.setLocalDescription();
    await a.setRemoteDescription(b.localDescription);
    return play(stream);
  }

  return { publish, watch, loop, measure, stands };
})();
