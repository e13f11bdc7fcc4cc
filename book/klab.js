// Opens a lab where its poster stands. Nothing of the lab is loaded before; printed pages keep their posters.
(() => {
  const html = document.documentElement;
  const theme = () => (["coal", "navy", "ayu"].some((name) => html.classList.contains(name)) ? "dark" : "light");
  const paint = () => document.querySelectorAll("kafka-lab").forEach((lab) => lab.setAttribute("theme", theme()));
  new MutationObserver(paint).observe(html, { attributeFilter: ["class"] });
  if (location.pathname.endsWith("/print.html")) return;
  for (const box of document.querySelectorAll(".klab")) {
    // The book's own keys turn pages.
    box.addEventListener("keydown", (event) => event.stopPropagation());
    const button = box.querySelector(".klab-open button");
    button.parentElement.hidden = false;
    button.onclick = async () => {
      button.disabled = true;
      await import(new URL(`${path_to_root}lab/kafka-lab.js`, location.href));
      const made = document.createElement("template");
      made.innerHTML = `<kafka-lab theme="${theme()}" ${box.dataset.attributes}></kafka-lab>`;
      const lab = made.content.firstChild;
      const text = box.querySelector("script");
      if (text) lab.append(text);
      box.replaceChildren(document.adoptNode(lab));
    };
  }
})();
