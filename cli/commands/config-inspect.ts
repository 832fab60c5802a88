// tsswarm config inspect
import { inspectCommand } from '../payload-commands.ts'

export const command = inspectCommand('config')
