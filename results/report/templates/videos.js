// Videos: filters that combine, and players that exist only near the screen.
(() => {
  const clips = [...document.querySelectorAll(".clip")];
  if (!clips.length) return;
  const at = (name) => document.getElementById(name);
  const filters = ["run", "task", "outcome"].map((key) => ({ key, select: at(`filter-${key}`) }));
  const play = at("play"), speed = at("speed");
  const matches = (clip, but) => filters.every(({ key, select }) =>
    key === but || !select.value || clip.dataset[key] === select.value);
  const playing = () => play.getAttribute("aria-pressed") === "true";
  const start = (video) => {
    video.playbackRate = Number(speed.value);
    video.play().catch(() => {}); // the browser may refuse, or the filter may have hidden it again
  };

  const batch = 24;
  let limit = batch;

  const apply = () => {
    const found = clips.filter((clip) => matches(clip));
    const shown = new Set(found.slice(0, limit));
    for (const clip of clips) {
      clip.hidden = !shown.has(clip);
      if (clip.hidden) clip.querySelector("video").pause();
    }
    // Behind each choice: how many videos it would leave, the other filters being as they are.
    for (const { key, select } of filters) {
      const rest = clips.filter((clip) => matches(clip, key));
      for (const option of select.options) {
        const count = option.value ? rest.filter((clip) => clip.dataset[key] === option.value).length : rest.length;
        option.textContent = `${option.dataset.name} (${count})`;
      }
    }
    const left = found.length - shown.size;
    at("shown").textContent = `${found.length} of ${clips.length} videos`;
    at("nothing").hidden = found.length > 0;
    at("more").hidden = left === 0;
    at("more").textContent = `Show ${Math.min(batch, left)} more of ${left}`;
    at("reset").hidden = filters.every(({ select }) => !select.value);
  };
  const choose = () => {
    limit = batch;
    apply();
  };
  const reset = () => {
    for (const { select } of filters) select.value = "";
    choose();
  };

  // Browsers allow only some dozens of players in a page, so hundreds of videos cannot all be
  // loaded: those near the screen show their first picture, those far away are unloaded again.
  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) {
        if (target.dataset.source) {
          target.src = target.dataset.source;
          delete target.dataset.source;
        }
        target.preload = "metadata";
      } else if (target.paused && target.preload === "metadata") {
        target.dataset.source = target.getAttribute("src");
        target.preload = "none";
        target.removeAttribute("src");
        target.load();
      }
    }
  }, { rootMargin: "400px 0px" });
  const inView = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      target.dataset.seen = isIntersecting ? "1" : "";
      if (!playing()) continue;
      if (isIntersecting) start(target); else target.pause();
    }
  });
  for (const clip of clips) {
    const video = clip.querySelector("video");
    video.addEventListener("loadedmetadata", () =>
      video.style.setProperty("--ratio", `${video.videoWidth} / ${video.videoHeight}`));
    video.addEventListener("play", () => { video.playbackRate = Number(speed.value); });
    near.observe(video);
    inView.observe(video);
  }
  play.addEventListener("click", () => {
    play.setAttribute("aria-pressed", String(!playing()));
    play.textContent = playing() ? "Pause all" : "Play all in view";
    for (const clip of clips) {
      const video = clip.querySelector("video");
      if (playing() && video.dataset.seen && !clip.hidden) start(video);
      else video.pause();
    }
  });
  speed.addEventListener("change", () => {
    for (const video of document.querySelectorAll("video")) video.playbackRate = Number(speed.value);
  });
  // A link to a video must lead to it even if it is not shown yet, or a filter hides it.
  const reveal = (hash) => {
    const clip = hash && document.getElementById(hash.slice(1));
    if (!clip || !clip.classList.contains("clip") || !clip.hidden) return false;
    if (!matches(clip)) reset();
    limit = Math.max(limit, clips.filter((other) => matches(other)).indexOf(clip) + 1);
    apply();
    return true;
  };
  for (const { select } of filters) select.addEventListener("change", choose);
  at("reset").addEventListener("click", reset);
  at("more").addEventListener("click", () => {
    limit += batch;
    apply();
  });
  document.addEventListener("click", ({ target }) => {
    const link = target.closest('a[href^="#v"]');
    if (link) reveal(link.hash);
  });
  at("video-tools").hidden = false;
  apply();
  if (reveal(location.hash)) document.getElementById(location.hash.slice(1)).scrollIntoView();
})();
