// Three planes through a case with niivue: image, reference in blue, prediction in red.
"use strict";

window.voxzooViewer = async (part, volumes, announce) => {
  const stage = part.querySelector(".stage");
  const form = stage.querySelector("form");
  const canvas = stage.querySelector("canvas");
  stage.hidden = false;
  const viewer = new niivue.Niivue({
    logLevel: "error", backColor: [0, 0, 0, 1], crosshairColor: [1, 1, 1, 0.4], crosshairWidth: 0.6,
    isRadiologicalConvention: true, multiplanarForceRender: false, textHeight: 0.05, loadingText: "",
    dragAndDropEnabled: false,
  });
  await viewer.attachToCanvas(canvas);
  const open = (base64, name, more) => niivue.NVImage.loadFromBase64({ base64, name: `${name}.nii.gz`, ...more });
  viewer.addVolume(await open(volumes.image, "image", { colormap: "gray" }));
  viewer.setSliceType(viewer.sliceTypeMultiplanar);
  const planes = ["sagittal", "coronal", "axial"];
  let reference = null, prediction = null, model = null, region = 0;

  // Level k of a mask is its k-th region: a threshold between two levels shows one region and what is in it.
  function threshold(volume) {
    volume.cal_min = region + 0.5;
    volume.cal_max = region + 0.6;
  }

  async function choose(wanted) {
    region = wanted.region;
    if (volumes.reference && !reference) {
      reference = await open(volumes.reference, "reference", { colormap: "blue", cal_min: 0.5, cal_max: 0.6 });
      viewer.addVolume(reference);
    }
    if (wanted.model !== model) {
      model = wanted.model;
      if (prediction) viewer.removeVolume(prediction);
      prediction = null;
      if (volumes.predictions[model]) {
        prediction = await open(volumes.predictions[model], "prediction", { colormap: "red", cal_min: 0.5, cal_max: 0.6 });
        viewer.addVolume(prediction);
      }
    }
    for (const volume of [reference, prediction]) if (volume) threshold(volume);
    fade();
  }

  function fade() {
    const share = Number(form.elements.namedItem("opacity").value) / 100;
    for (const volume of [reference, prediction]) if (volume) volume.opacity = share;
    viewer.updateGLVolume();
  }

  form.addEventListener("input", (event) => {
    if (event.target.name === "opacity") return fade();
    viewer.scene.crosshairPos = planes.map((name) => Number(form.elements.namedItem(name).value) / 1000);
    viewer.drawScene();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  viewer.onLocationChange = () => {
    planes.forEach((name, k) => { form.elements.namedItem(name).value = Math.round(viewer.scene.crosshairPos[k] * 1000); });
  };

  let last = Promise.resolve();
  document.addEventListener("voxzoo:chosen", (event) => { last = last.then(() => choose(event.detail)); });
  announce();
  await last;
  centre();
  window.voxzooOpened = viewer;

  // Begin where the tumour is, not in the middle of the head.
  function centre() {
    const volume = reference || prediction;
    if (!volume) return;
    const [, nx, ny, nz] = volume.dimsRAS, data = volume.img2RAS();
    const sum = [0, 0, 0];
    let count = 0;
    for (let z = 0, k = 0; z < nz; z++) for (let y = 0; y < ny; y++) for (let x = 0; x < nx; x++, k++) {
      if (data[k]) { sum[0] += x; sum[1] += y; sum[2] += z; count++; }
    }
    if (!count) return;
    viewer.scene.crosshairPos = [nx, ny, nz].map((n, k) => (sum[k] / count + 0.5) / n);
    viewer.onLocationChange();
    viewer.drawScene();
  }
};
