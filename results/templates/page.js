(() => {
  const clips = [...document.querySelectorAll(".clip")];
  const run = document.getElementById("run"), outcome = document.getElementById("outcome");
  const shown = document.getElementById("shown"), play = document.getElementById("play");
  if (!clips.length) return;
  const apply = () => {
    let count = 0;
    for (const clip of clips) {
      clip.hidden = (run.value && clip.dataset.run !== run.value) ||
        (outcome.value && clip.dataset.outcome !== outcome.value);
      if (clip.hidden) clip.querySelector("video").pause(); else count += 1;
    }
    shown.textContent = `${count} of ${clips.length}`;
  };
  const playing = () => play.getAttribute("aria-pressed") === "true";
  // Only what is in view plays: browsers limit how many videos decode at once.
  const watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      target.dataset.seen = isIntersecting ? "1" : "";
      if (!playing()) continue;
      if (isIntersecting) target.play().catch(() => {}); else target.pause();
    }
  });
  for (const clip of clips) {
    const video = clip.querySelector("video");
    video.addEventListener("loadedmetadata", () =>
      video.style.setProperty("--ratio", `${video.videoWidth} / ${video.videoHeight}`));
    watch.observe(video);
  }
  play.addEventListener("click", () => {
    play.setAttribute("aria-pressed", String(!playing()));
    play.textContent = playing() ? "Pause all" : "Play all";
    for (const clip of clips) {
      const video = clip.querySelector("video");
      if (playing() && video.dataset.seen && !clip.hidden) video.play().catch(() => {});
      else video.pause();
    }
  });
  // A square of the episode strips must lead to its video even if a filter hides it.
  const reveal = () => {
    const clip = location.hash && document.getElementById(location.hash.slice(1));
    if (!clip || !clip.hidden) return;
    run.value = ""; outcome.value = ""; apply(); clip.scrollIntoView();
  };
  run.addEventListener("change", apply);
  outcome.addEventListener("change", apply);
  window.addEventListener("hashchange", reveal);
  apply();
})();
