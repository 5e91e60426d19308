// Heat maps: which are shown, and what a touched cell says.
(() => {
  const choice = document.getElementById("map-choice");
  if (choice) {
    const chips = [...choice.querySelectorAll("button")];
    const show = (chip, on) => {
      chip.setAttribute("aria-pressed", String(on));
      document.getElementById(chip.dataset.map).hidden = !on;
    };
    const shown = {};
    for (const chip of chips) {
      // At first, two maps of each suite: all together and the best run.
      shown[chip.dataset.suite] = (shown[chip.dataset.suite] ?? 0) + 1;
      show(chip, shown[chip.dataset.suite] <= 2);
      chip.addEventListener("click", () => show(chip, chip.getAttribute("aria-pressed") !== "true"));
    }
    choice.hidden = false;
  }
  for (const map of document.querySelectorAll(".map")) {
    const readout = map.querySelector(".readout");
    const tell = ({ target }) => {
      const cell = target.closest("[title]");
      if (cell && cell.title) readout.textContent = cell.title;
    };
    for (const kind of ["pointerover", "focusin", "click"]) map.addEventListener(kind, tell);
  }
})();
