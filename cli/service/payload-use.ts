// --secret and --config: NAME, or source=NAME,target=PATH,uid=0,gid=0,mode=0444; and how an update changes them.
import { SwarmError } from '../../proto/errors.ts'
import type { PayloadKind, PayloadUse } from '../../proto/spec/payload-spec.ts'
import type { ContainerSpec } from '../../proto/spec/service-spec.ts'
import { type Flags, type FlagValues, list } from '../flags.ts'
import { read } from '../read-flag.ts'
import { changeKeyed } from './assignments.ts'
import { csvFields } from './csv.ts'

const form = 'NAME, or source=NAME[,target=PATH][,uid=N][,gid=N][,mode=0444]'

export const newPayloadFlags = {
  config: list('Specify configurations to expose to the service', {
    takes: 'config',
    completes: 'configs',
  }),
  secret: list('Specify secrets to expose to the service', {
    takes: 'secret',
    completes: 'secrets',
  }),
} satisfies Flags

export const payloadChangeFlags = {
  'config-add': list('Add or update a config file on a service', {
    takes: 'config',
    completes: 'configs',
  }),
  'config-rm': list('Remove a configuration file by the name of the config', {
    completes: 'configs',
  }),
  'secret-add': list('Add or update a secret on a service', {
    takes: 'secret',
    completes: 'secrets',
  }),
  'secret-rm': list('Remove a secret by its name', { completes: 'secrets' }),
} satisfies Flags

type Uses = Pick<ContainerSpec, 'secrets' | 'configs'>

/** Errors: USAGE. */
export function newPayloadUses(flags: FlagValues<typeof newPayloadFlags>): Uses {
  return {
    secrets: flags.secret.map((text) => read('secret', () => parsePayloadUse(text), text)),
    configs: flags.config.map((text) => read('config', () => parsePayloadUse(text), text)),
  }
}

/** An added one replaces what has its target. Errors: USAGE, INVALID_ARGUMENT for one that is not there to be removed. */
export function changedPayloadUses(
  current: Uses,
  flags: FlagValues<typeof payloadChangeFlags>,
): Uses {
  return {
    secrets: changed('secret', current.secrets, flags['secret-rm'], flags['secret-add']),
    configs: changed('config', current.configs, flags['config-rm'], flags['config-add']),
  }
}

function changed(
  kind: PayloadKind,
  current: readonly PayloadUse[],
  removed: readonly string[],
  added: readonly string[],
): readonly PayloadUse[] {
  const isNamed = ({ name, source }: PayloadUse, word: string): boolean =>
    name.toLowerCase() === word.toLowerCase() || source === word
  for (const word of removed) {
    if (current.some((use) => isNamed(use, word))) continue
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `the service has no ${kind} "${word}": "tsswarm service inspect --pretty" shows what it has`,
    )
  }
  const kept = current.filter((use) => !removed.some((word) => isNamed(use, word)))
  const flag = `${kind}-add`
  const uses = added.map((text) => read(flag, () => parsePayloadUse(text), text))
  return changeKeyed(kept, { removed: [], added: uses }, ({ target, source }) => target || source)
}

/** Errors: Error whose text says what is right. */
export function parsePayloadUse(text: string): PayloadUse {
  if (text === '') throw new Error(`must be ${form}`)
  const draft = { source: '', name: '', target: '', uid: '0', gid: '0', mode: 0o444 }
  if (!text.includes('=') && !text.includes(',')) return { ...draft, source: text }
  for (const { key, value } of csvFields(text)) {
    if (value === undefined || value === '') throw new Error(`field "${key}" has no value`)
    setField(draft, key, value)
  }
  if (draft.source === '') throw new Error(`source is required; write ${form}`)
  return draft
}

type Draft = { -readonly [K in keyof PayloadUse]: PayloadUse[K] }

function setField(draft: Draft, key: string, value: string): void {
  switch (key) {
    case 'source':
    case 'src':
      draft.source = value
      return
    case 'target':
      draft.target = value
      return
    case 'uid':
    case 'gid':
      if (!/^\d{1,10}$/.test(value)) {
        throw new Error(`${key} must be a number: names of the image are not looked up`)
      }
      draft[key] = value
      return
    case 'mode':
      // Docker takes a number without the 0 for decimal, which nobody means.
      if (!/^0o?[0-7]{1,4}$/.test(value)) {
        throw new Error('mode must be octal with a leading 0, such as 0400')
      }
      draft.mode = Number.parseInt(value.replace('o', ''), 8)
      return
    default:
      throw new Error(`unexpected key "${key}"; write ${form}`)
  }
}
