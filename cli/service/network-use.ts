// --network NAME, or name=NAME,alias=WORD: a network of a service, with more names for it there.
import type { NetworkUse } from '../../proto/spec/service-spec.ts'
import { csvFields } from './csv.ts'

const form = 'NAME, or name=NAME[,alias=WORD]'

/** Errors: Error. */
export function parseNetworkUse(text: string): NetworkUse {
  if (text === '') throw new Error(`must be ${form}`)
  if (!text.includes('=')) return { target: text, aliases: [] }
  let target = ''
  const aliases: string[] = []
  for (const { key, value } of csvFields(text)) {
    if (value === undefined || value === '') throw new Error(`field "${key}" has no value`)
    if (key === 'name') target = value
    else if (key === 'alias') aliases.push(value)
    else if (key === 'driver-opt') throw new Error('driver-opt is not available in this version')
    else throw new Error(`unexpected key "${key}"; write ${form}`)
  }
  if (target === '') throw new Error(`name is required; write ${form}`)
  return { target, aliases }
}
