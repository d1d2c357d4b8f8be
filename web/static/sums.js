// Sums as the server writes them.

export function money(form, amount) {
  const digits = Number(form.dataset.digits);
  const text = (amount / 10 ** digits).toLocaleString("en-GB", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  return `${form.dataset.sign}${text}`;
}

export function tickets(count) {
  return count === 1 ? "1 ticket" : `${count} tickets`;
}
