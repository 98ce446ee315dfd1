// One slice at a time, the choice of model and region, and the way to the 3-plane viewer.
"use strict";

(() => {
  const form = document.querySelector("form[data-slices]");
  if (!form) return;
  const list = document.querySelector(".slices");
  const items = [...list.children];
  const field = (name) => form.elements.namedItem(name);

  function show() {
    const chosen = Number(field("slice").value);
    list.classList.toggle("one", !field("all").checked);
    items.forEach((item, k) => item.classList.toggle("on", k === chosen));
    form.querySelector("output").textContent = items[chosen].dataset.index;
    field("slice").setAttribute("aria-valuetext", `slice ${items[chosen].dataset.index}`);
    if (field("model")) {
      for (const group of list.querySelectorAll(".pred")) group.toggleAttribute("hidden", group.dataset.model !== field("model").value);
    }
    if (field("region")) {
      for (const path of list.querySelectorAll("path")) path.classList.toggle("off", path.dataset.region !== field("region").value);
    }
    document.dispatchEvent(new CustomEvent("voxzoo:chosen", { detail: { model: field("model") ? field("model").value : "", region: field("region") ? field("region").selectedIndex : 0 } }));
  }

  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  show();

  const part = document.querySelector(".viewer");
  const button = part.querySelector(".open");
  const status = part.querySelector(".status");
  const probe = document.createElement("canvas").getContext("webgl2");
  if (!probe) {
    button.disabled = true;
    status.textContent = "This browser has no WebGL2, which the viewer needs. The slices above show the same outlines.";
    return;
  }
  const loseContext = probe.getExtension("WEBGL_lose_context");
  if (loseContext) loseContext.loseContext();

  function load(src) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = src;
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${src} is missing`));
      document.head.append(script);
    });
  }

  button.addEventListener("click", async () => {
    button.disabled = true;
    status.textContent = "Loading …";
    try {
      await load(part.dataset.script);
      await load(`${part.dataset.assets}niivue.umd.js`);
      await load(`${part.dataset.assets}viewer.js`);
      await window.voxzooViewer(part, window.voxzooVolumes, show);
      button.hidden = true;
      status.textContent = "";
    } catch (error) {
      part.querySelector(".stage").hidden = true;
      status.textContent = `The viewer did not open (${error.message}). The slices above show the same outlines.`;
    }
  });
})();
