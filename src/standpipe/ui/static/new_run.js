// The form of a new run: says at once when a text is not the JSON that the input takes. The server checks again.

const kinds = { list: Array.isArray, object: (value) => value !== null && typeof value === "object" && !Array.isArray(value) };

function problem(field) {
  const text = field.value.trim();
  if (!text) return "";
  try {
    const fits = kinds[field.dataset.json](JSON.parse(text));
    return fits ? "" : `Expected a JSON ${field.dataset.json}.`;
  } catch (error) {
    return `This is not JSON: ${error.message}`;
  }
}

function check(field) {
  const container = field.closest(".field");
  const error = container.querySelector(".field-error");
  error.textContent = problem(field);
  error.hidden = !error.textContent;
  container.classList.toggle("field-wrong", !error.hidden);
  field.setAttribute("aria-invalid", String(!error.hidden));
}

document.addEventListener("change", (event) => event.target.matches("[data-json]") && check(event.target));
document.addEventListener("input", (event) => {
  if (event.target.matches('[data-json][aria-invalid="true"]')) check(event.target);
});

// One click starts one run.
document.addEventListener("submit", (event) => {
  const button = document.getElementById("new-run-start");
  if (button && event.target.contains(button)) button.disabled = true;
});
addEventListener("pageshow", () => document.getElementById("new-run-start")?.removeAttribute("disabled"));

document.querySelector('.field-wrong [aria-invalid="true"]')?.focus();
