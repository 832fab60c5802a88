// The comma-separated values of --mount and --publish, and the words of a command in one text.

/** Fields of one CSV line; a field in double quotes may hold commas, and "" for a quote. Errors: Error. */
export function splitCsv(text: string): readonly string[] {
  const fields: string[] = []
  let at = 0
  while (at <= text.length) {
    if (text[at] !== '"') {
      const comma = text.indexOf(',', at)
      const end = comma === -1 ? text.length : comma
      fields.push(text.slice(at, end))
      at = end + 1
      continue
    }
    const quoted = /^"((?:[^"]|"")*)"(?=,|$)/.exec(text.slice(at))
    if (quoted === null) throw new Error('has a double quote that is not closed, or text after it')
    fields.push((quoted[1] ?? '').replaceAll('""', '"'))
    at += quoted[0].length + 1
  }
  return fields
}

/** One line of these fields. */
export function csvText(fields: readonly string[]): string {
  return fields
    .map((field) => (/[",]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field))
    .join(',')
}

export interface CsvField {
  readonly key: string
  /** Undefined: the key stands alone. */
  readonly value: string | undefined
}

/** `key=value` fields; keys in lower case. Errors: Error. */
export function csvFields(text: string): readonly CsvField[] {
  return splitCsv(text).map((field) => {
    const equals = field.indexOf('=')
    if (equals === -1) return { key: field.toLowerCase(), value: undefined }
    return { key: field.slice(0, equals).toLowerCase(), value: field.slice(equals + 1) }
  })
}

/** Words as a shell splits them: blanks separate, quotes and backslashes keep together. Errors: Error. */
export function splitWords(text: string): readonly string[] {
  const words: string[] = []
  let word: string | undefined
  let rest = text
  while (rest !== '') {
    const match = /^(?:(\s+)|'([^']*)'|"((?:[^"\\]|\\.)*)"|\\([\s\S])|([^\s'"\\]+))/.exec(rest)
    if (match === null) throw new Error('has a quote that is not closed')
    rest = rest.slice(match[0].length)
    if (match[1] !== undefined) {
      if (word !== undefined) words.push(word)
      word = undefined
      continue
    }
    const [, , single, double, escaped, plain] = match
    const piece = single ?? double?.replace(/\\(["\\$`])/g, '$1') ?? escaped ?? plain ?? ''
    word = (word ?? '') + piece
  }
  if (word !== undefined) words.push(word)
  return words
}
