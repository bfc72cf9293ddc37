// A plugin for JupyterLab 4.6, which does not show the alternative text of a picture that stands in
// the output's metadata. It is written by hand in the form that JupyterLab's module federation
// loads, so that nothing has to be built.
(() => {
  const KINDS = ["image/png", "image/svg+xml"];

  const describe = (app) => {
    for (const panel of app.shell.widgets("main")) {
      for (const cell of panel.content?.widgets ?? []) {
        cell.outputArea?.widgets.forEach((output, number) => {
          const model = cell.outputArea.model;
          const metadata = number < model.length ? model.get(number).metadata : {};
          const alt = KINDS.map((kind) => metadata[kind]?.alt).find((text) => text);
          output.node.querySelectorAll(".jp-RenderedImage img, .jp-RenderedSVG img").forEach((img) => {
            if (alt && img.alt !== alt) img.alt = alt;
          });
        });
      }
    }
  };

  const plugin = {
    id: "workshop-alt-text:plugin",
    description: "Gives pictures in outputs their alternative text.",
    autoStart: true,
    activate: (app) => {
      let waits = false;
      const hasPicture = (node) => node.nodeName === "IMG" || node.querySelector?.("img");
      new MutationObserver((changes) => {
        if (waits || !changes.some((change) => [...change.addedNodes].some(hasPicture))) return;
        waits = true;
        requestAnimationFrame(() => {
          waits = false;
          describe(app);
        });
      }).observe(document.body, { childList: true, subtree: true });
    },
  };

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["workshop-alt-text"] = {
    init: () => {},
    get: async () => () => ({ __esModule: true, default: plugin }),
  };
})();
