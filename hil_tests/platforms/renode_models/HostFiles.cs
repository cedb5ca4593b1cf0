// ARM semihosting with files of the emulator's host, which Renode's own lacks: the operations of Arm's "Semihosting
// for AArch32 and AArch64" that boards/emulated_stm32/port/semihosting.c asks for.
//
// The monitor's command `sysbus.cpu AnswerSemihosting address folder commandLine` has every call of the function at
// that address answered here. Names of files are relative to the folder. What was written is with the host's kernel
// when the call returns, so killing Renode loses nothing. A program that exits stops its processor, and its code is
// then the content of the folder's file `exit_code`.

using System.Collections.Generic;
using System.IO;
using System.Text;

using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.CPU;

namespace Carbonmeter.Renode
{
    public static class SemihostingExtensions
    {
        public static void AnswerSemihosting(this CortexM cpu, ulong address, string folder, string commandLine = "")
        {
            if(!Directory.Exists(folder))
            {
                throw new RecoverableException("no folder " + folder);
            }
            var files = new HostFiles(cpu, folder, commandLine);
            cpu.AddHook(address, (_, __) => files.Answer());
        }
    }

    internal sealed class HostFiles
    {
        public HostFiles(CortexM cpu, string folder, string commandLine)
        {
            this.cpu = cpu;
            this.folder = folder;
            this.commandLine = commandLine;
        }

        // The function has the operation in R0 and the address of its arguments in R1, and returns the result in R0.
        public void Answer()
        {
            var operation = (uint)cpu.GetRegister(0).RawValue;
            var arguments = cpu.GetRegister(1).RawValue;
            cpu.SetRegister(0, unchecked((uint)Result(operation, arguments)));
            cpu.PC = cpu.GetRegister(LinkRegister).RawValue;
        }

        private long Result(uint operation, ulong arguments)
        {
            switch(operation)
            {
                case SysOpen:
                    return Open(Text(Word(arguments, 0), Word(arguments, 2)), Word(arguments, 1));
                case SysClose:
                    return Close((int)Word(arguments, 0));
                case SysWrite:
                    return Write((int)Word(arguments, 0), Word(arguments, 1), (int)Word(arguments, 2));
                case SysRead:
                    return Read((int)Word(arguments, 0), Word(arguments, 1), (int)Word(arguments, 2));
                case SysSeek:
                    return Seek((int)Word(arguments, 0), Word(arguments, 1));
                case SysFlen:
                    return Length((int)Word(arguments, 0));
                case SysGetCmdline:
                    return CommandLine(arguments);
                case SysExitExtended:
                    return Exit(Word(arguments, 1));
                default:
                    cpu.Log(LogLevel.Error, "semihosting operation 0x{0:X} is not answered", operation);
                    return Failed;
            }
        }

        private long Open(string name, uint mode)
        {
            if(mode != ReadBinary && mode != UpdateBinary)
            {
                return Failed;
            }
            var access = mode == ReadBinary ? FileAccess.Read : FileAccess.ReadWrite;
            try
            {
                var file = new FileStream(Path.Combine(folder, name), FileMode.Open, access, FileShare.ReadWrite);
                open[++lastHandle] = file;
                return lastHandle;
            }
            catch(IOException error)
            {
                cpu.Log(LogLevel.Warning, "{0} cannot be opened: {1}", name, error.Message);
                return Failed;
            }
        }

        private long Close(int handle)
        {
            FileStream file;
            if(!open.TryGetValue(handle, out file))
            {
                return Failed;
            }
            file.Dispose();
            open.Remove(handle);
            return 0;
        }

        // Both give the number of bytes that were not moved.

        private long Write(int handle, uint from, int size)
        {
            FileStream file;
            if(!open.TryGetValue(handle, out file))
            {
                return size;
            }
            file.Write(cpu.Bus.ReadBytes(from, size), 0, size);
            file.Flush();
            return 0;
        }

        private long Read(int handle, uint into, int size)
        {
            FileStream file;
            if(!open.TryGetValue(handle, out file))
            {
                return size;
            }
            var content = new byte[size];
            var got = 0;
            int count;
            while(got < size && (count = file.Read(content, got, size - got)) > 0)
            {
                got += count;
            }
            cpu.Bus.WriteBytes(content, into, got);
            return size - got;
        }

        private long Seek(int handle, uint position)
        {
            FileStream file;
            if(!open.TryGetValue(handle, out file))
            {
                return Failed;
            }
            file.Seek(position, SeekOrigin.Begin);
            return 0;
        }

        private long Length(int handle)
        {
            FileStream file;
            return open.TryGetValue(handle, out file) ? file.Length : Failed;
        }

        // The first argument is a buffer, the second its size, which becomes that of the text.
        private long CommandLine(ulong arguments)
        {
            var text = Encoding.ASCII.GetBytes(commandLine);
            if(text.Length + 1 > Word(arguments, 1))
            {
                return Failed;
            }
            var buffer = Word(arguments, 0);
            cpu.Bus.WriteBytes(text, buffer);
            cpu.Bus.WriteByte(buffer + (ulong)text.Length, 0);
            cpu.Bus.WriteDoubleWord(arguments + WordBytes, (uint)text.Length);
            return 0;
        }

        private long Exit(uint code)
        {
            var path = Path.Combine(folder, "exit_code");
            File.WriteAllText(path + ".new", code.ToString());
            File.Move(path + ".new", path);
            cpu.IsHalted = true;
            return 0;
        }

        private uint Word(ulong arguments, uint number)
        {
            return cpu.Bus.ReadDoubleWord(arguments + number * WordBytes);
        }

        private string Text(uint address, uint size)
        {
            return Encoding.ASCII.GetString(cpu.Bus.ReadBytes(address, (int)size));
        }

        private readonly CortexM cpu;
        private readonly string folder;
        private readonly string commandLine;
        private readonly Dictionary<int, FileStream> open = new Dictionary<int, FileStream>();
        private int lastHandle;

        private const uint SysOpen = 0x01;
        private const uint SysClose = 0x02;
        private const uint SysWrite = 0x05;
        private const uint SysRead = 0x06;
        private const uint SysSeek = 0x0a;
        private const uint SysFlen = 0x0c;
        private const uint SysGetCmdline = 0x15;
        private const uint SysExitExtended = 0x20;

        // fopen's "rb" and "r+b".
        private const uint ReadBinary = 1;
        private const uint UpdateBinary = 3;

        private const long Failed = -1;
        private const uint WordBytes = 4;
        private const int LinkRegister = 14;
    }
}
