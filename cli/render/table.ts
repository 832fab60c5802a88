// Lines whose cells are separated by tabs, as an aligned table: docker's column widths.

const columnMin = 10
const gap = 3

/** Pads every cell but the last of its line to its column: longest text + 3, at least 10. */
export function alignTable(lines: readonly string[]): string {
  const rows = lines.map((line) => line.split('\t'))
  const widths: number[] = []
  for (const cells of rows) {
    cells.slice(0, -1).forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? columnMin, textWidth(cell) + gap)
    })
  }
  return rows.map((cells) => `${alignRow(cells, widths)}\n`).join('')
}

function alignRow(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((cell, i) =>
      i === cells.length - 1 ? cell : cell + ' '.repeat((widths[i] ?? 0) - textWidth(cell)),
    )
    .join('')
}

function textWidth(text: string): number {
  return [...text].length
}
