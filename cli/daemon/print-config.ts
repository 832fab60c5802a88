// `tsswarm daemon --print-config`: the settings in force, as a file of settings that says where each is from. Pure.
import { type DaemonSettings, settingNames } from './config.ts'

/** One line a setting, in the order of the schema; what is not set is a comment, so the text is a file for --config. */
export function configText({ config, sources }: DaemonSettings): string {
  const values: Readonly<Record<string, unknown>> = { ...config }
  const rows = settingNames.map((name) => {
    const value = values[name]
    const text = value === undefined ? `# ${name}:` : `${name}: ${valueText(value)}`
    const source =
      name === 'socket' && sources['socket'] === 'default' ? 'default: in runDir' : sources[name]
    return [text, value === undefined ? 'not set' : (source ?? '')] as const
  })
  const width = Math.max(...rows.map(([text]) => text.length))
  return rows.map(([text, source]) => `${text.padEnd(width)}  # ${source}\n`).join('')
}

/** JSON is YAML; plain words read better without quotes. */
function valueText(value: unknown): string {
  const isPlain =
    typeof value === 'string' &&
    /^[A-Za-z/][\w./-]*$/.test(value) &&
    !/^(true|false|null|yes|no|on|off|y|n)$/i.test(value)
  return isPlain ? value : JSON.stringify(value)
}
