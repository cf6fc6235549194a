package server

func (s *Server) ollamaRoutes() []route { return nil }
