// A plugin for JupyterLab 4.6. JupyterLab does not show the alternative text of a picture, which
// stands in the output's metadata, some of its themes' colours for code have a contrast of less
// than 4.5, and a printed line that is too long breaks within a word. The plugin is written by hand in the form that JupyterLab's module federation loads, so
// that nothing has to be built.
(() => {
  const STYLE = `
    .jp-OutputArea-output pre { word-break: normal; overflow-wrap: anywhere; }
    body[data-jp-theme-name="JupyterLab Light"] { --jp-mirror-editor-operator-color: #8a1ad1;
      --jp-mirror-editor-number-color: #007000; --jp-mirror-editor-comment-color: #306868;
      --jp-mirror-editor-bracket-color: #6e6e3c; --jp-cell-prompt-not-active-opacity: 1; }
    body[data-jp-theme-name="JupyterLab Dark"] { --jp-mirror-editor-comment-color: #7fb5b5;
      --jp-mirror-editor-def-color: #64b5f6; }`;
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
    id: "workshop-accessibility:plugin",
    description: "Alternative text for pictures, colours of code that stand out, and lines that break between words.",
    autoStart: true,
    activate: (app) => {
      const style = document.head.appendChild(document.createElement("style"));
      style.textContent = STYLE;
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
  window._JUPYTERLAB["workshop-accessibility"] = {
    init: () => {},
    get: async () => () => ({ __esModule: true, default: plugin }),
  };
})();
