// Text in columns, for summaries and reports: numbers right, words left.

/** One line for each row, below the heads and a rule; a cell that looks like a number is set to the right. */
export function formatTable(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = heads.map((h, i) => Math.max(h.length, ...rows.map((r) => r[i].length)))
  const numeric = heads.map((_, i) => rows.length > 0 && rows.every((r) => /^[-\d.,% ]*$/.test(r[i])))
  const line = (cells: readonly string[]) =>
    cells
      .map((c, i) => (numeric[i] ? c.padStart(widths[i]) : c.padEnd(widths[i])))
      .join('  ')
      .trimEnd()
  return [line(heads), widths.map((w) => '-'.repeat(w)).join('  '), ...rows.map(line)].join('\n')
}

/** 12345 -> "12,345", the same in every locale. */
export const thousands = (n: number): string => String(n).replace(/\B(?=(\d{3})+$)/g, ',')
