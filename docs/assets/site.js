// Set the formulas, which pymdownx.arithmatex has put between \( \) or \[ \].
document.querySelectorAll(".arithmatex").forEach((element) => {
  const text = element.textContent
  katex.render(text.slice(2, -2), element, { displayMode: text.startsWith("\\[") })
})

// Tables and formulas that are wider than the page can be scrolled with the keyboard; the theme does
// the same for code.
function focusable() {
  const wide = ".md-typeset__scrollwrap, .katex-display"
  document.querySelectorAll(wide).forEach((element) => {
    if (element.scrollWidth > element.clientWidth) {
      element.tabIndex = 0
    } else {
      element.removeAttribute("tabindex")
    }
  })
}
addEventListener("load", focusable)
new ResizeObserver(focusable).observe(document.querySelector(".md-content"))
