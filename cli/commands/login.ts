// tsswarm login
import { encodeRegistryAuth, type RegistryAuth } from '../../proto/codec/registry-login.ts'
import { SwarmError } from '../../proto/errors.ts'
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { LineAsker } from '../ask-line.ts'
import { defineCommand } from '../command.ts'
import type { CommandContext } from '../context.ts'
import { credentialsOf, keepCredentials, serverName } from '../credentials.ts'
import { bool, text } from '../flags.ts'
import { usage } from '../parse-args.ts'

/** Longer than the daemon waits for a registry. */
const loginMs = 30_000

interface LoginFlags {
  readonly username: string | undefined
  readonly password: string | undefined
  readonly 'password-stdin': boolean
}

export const command = defineCommand({
  name: 'login',
  summary: 'Authenticate to a registry',
  description:
    'The daemon asks the registry whether it takes the credentials; they are kept on this host in a file of the user alone ' +
    '(~/.config/tsswarm/registries.json, mode 0600) and used by image pull and push, and by what asks for the platforms of a ' +
    "service's image. Without a SERVER it is docker.io.",
  args: { usage: '[SERVER]', min: 0, max: 1 },
  flags: {
    password: text('Password', { short: 'p' }),
    'password-stdin': bool('Take the password from stdin'),
    username: text('Username', { short: 'u' }),
  },
  examples: [
    { what: 'At the terminal', command: 'tsswarm login registry.example:5000' },
    {
      what: 'In a script',
      command: 'tsswarm login -u deploy --password-stdin registry.example < password.txt',
    },
  ],
  run: async (ctx, { flags, args }) => {
    const registry = serverName(args[0] ?? '')
    const credentials = await wanted(ctx, registry, flags)
    const client = await ctx.connect()
    await client.call(
      DaemonService.loginRegistry,
      { registry, auth: encodeRegistryAuth(credentials) },
      { timeoutMs: loginMs, retry: false },
    )
    await keepCredentials(ctx.env, registry, credentials)
    ctx.stdout.write('Login Succeeded\n')
    return 0
  },
})

/** From flags, from stdin, from what is kept, or asked for. Errors: USAGE, CANCELLED. */
async function wanted(
  ctx: CommandContext,
  registry: string,
  flags: LoginFlags,
): Promise<RegistryAuth> {
  const { username, password } = flags
  if (flags['password-stdin']) {
    if (password !== undefined)
      throw usage('--password and --password-stdin are mutually exclusive')
    if (!username) throw usage('must provide --username with --password-stdin')
    return complete({ username, password: (await readAll(ctx)).replace(/\r?\n$/, '') })
  }
  if (password !== undefined) {
    ctx.stderr.write('WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n')
    if (username) return complete({ username, password })
  }
  return await asked(ctx, registry, flags)
}

async function asked(
  ctx: CommandContext,
  registry: string,
  { username, password }: LoginFlags,
): Promise<RegistryAuth> {
  if (!ctx.stdin.isTerminal) {
    throw usage('cannot perform an interactive login from a non TTY device: use --password-stdin')
  }
  const asker = new LineAsker(ctx)
  try {
    const known = username ? undefined : (await credentialsOf(ctx.env, registry))?.username
    const shown = known === undefined ? '' : ` (${known})`
    const name = username || (await asker.ask(`Username${shown}: `, false)) || (known ?? '')
    return complete({
      username: name,
      password: password ?? (await asker.ask('Password: ', true)),
    })
  } finally {
    asker.close()
  }
}

function complete(credentials: RegistryAuth): RegistryAuth {
  if (credentials.username === '') throw usage('username is empty')
  if (credentials.username.includes(':')) throw usage('a username cannot have a colon')
  if (credentials.password === '') throw usage('password is empty')
  return credentials
}

const passwordBytesMax = 64 * 1024

async function readAll({ stdin }: CommandContext): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of stdin) {
    bytes += chunk.length
    if (bytes > passwordBytesMax) throw new SwarmError('USAGE', 'the password is over 64 KiB')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
