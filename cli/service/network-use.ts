// --network NAME, or name=NAME,alias=WORD,driver-opt=KEY=VALUE: a network of a service, with more names for it there.
import type { NetworkUse } from '../../proto/spec/service-spec.ts'
import { csvFields, csvText } from './csv.ts'

const form = 'NAME, or name=NAME[,alias=WORD][,driver-opt=KEY=VALUE]'

/** Errors: Error. */
export function parseNetworkUse(text: string): NetworkUse {
  if (text === '') throw new Error(`must be ${form}`)
  if (!text.includes('=')) return { target: text, aliases: [], driverOptions: {} }
  let target = ''
  const aliases: string[] = []
  const driverOptions = new Map<string, string>()
  for (const { key, value } of csvFields(text)) {
    if (value === undefined || value === '') throw new Error(`field "${key}" has no value`)
    if (key === 'name') target = value
    else if (key === 'alias') aliases.push(value)
    else if (key === 'driver-opt') driverOptions.set(...optionOf(value))
    else throw new Error(`unexpected key "${key}"; write ${form}`)
  }
  if (target === '') throw new Error(`name is required; write ${form}`)
  return { target, aliases, driverOptions: Object.fromEntries(driverOptions) }
}

/** As parseNetworkUse reads it. */
export function networkUseText({ target, aliases, driverOptions }: NetworkUse): string {
  return csvText([
    `name=${target}`,
    ...aliases.map((alias) => `alias=${alias}`),
    ...Object.entries(driverOptions).map(([name, value]) => `driver-opt=${name}=${value}`),
  ])
}

function optionOf(text: string): [string, string] {
  const at = text.indexOf('=')
  if (at < 1) throw new Error(`driver-opt "${text}" must be KEY=VALUE`)
  return [text.slice(0, at), text.slice(at + 1)]
}
