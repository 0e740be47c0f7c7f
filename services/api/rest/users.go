package rest

import (
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/api/request"
)

func (h *Handler) createUser(c *call) (any, error) {
	err := h.signUp(c)
	return userBody(c.user), err
}

// signUp creates the account that the body describes, and sets c.user to it.
func (h *Handler) signUp(c *call) error {
	if err := limitAddress(c, h.limits.SignupPerAddress); err != nil {
		return err
	}
	body, err := request.JSON[newUser](c.Request)
	if err != nil {
		return err
	}
	resp, err := h.db.CreateUser(c.Request.Context(), &merchstorev1.CreateUserRequest{
		Sid: body.SID, Username: body.Username, Email: body.Email, Password: body.Password,
	})
	c.user = resp.GetUser()
	return err
}

func (h *Handler) login(c *call) (any, error) {
	resp, err := h.logIn(c)
	return tokenBody{resp.GetToken(), "Bearer", resp.GetExpiresIn()}, err
}

// logIn checks the credentials in the body, and sets c.user to their account.
func (h *Handler) logIn(c *call) (*merchstorev1.LoginResponse, error) {
	if err := limitAddress(c, h.limits.LoginPerAddress); err != nil {
		return nil, err
	}
	body, err := request.JSON[credentials](c.Request)
	if err != nil {
		return nil, err
	}
	if err := h.limitPasswords(c, body.Username); err != nil {
		return nil, err
	}
	resp, err := h.db.Login(c.Request.Context(), &merchstorev1.LoginRequest{
		Username: body.Username, Password: body.Password,
	})
	c.user = resp.GetUser()
	return resp, err
}

func (h *Handler) listUsers(c *call) (any, error) {
	page, err := request.ParsePage(c.Request.URL.Query())
	if err != nil {
		return nil, err
	}
	if err := h.beginList(c, page, userMemory); err != nil {
		return nil, err
	}
	resp, err := h.db.ListUsers(c.Request.Context(), &merchstorev1.ListUsersRequest{
		Limit: page.Limit, Cursor: page.Cursor,
	})
	return usersPage{convertAll(resp.GetUsers(), userBody), resp.GetNextCursor()}, err
}

func (h *Handler) getUser(c *call) (any, error) {
	sid, err := request.SID(c.Param("sid"))
	if err != nil {
		return nil, err
	}
	resp, err := h.db.GetUser(c.Request.Context(), &merchstorev1.GetUserRequest{Sid: sid})
	return userBody(resp.GetUser()), err
}

func (h *Handler) updateUser(c *call) (any, error) {
	sid, err := request.SID(c.Param("sid"))
	if err != nil {
		return nil, err
	}
	body, err := request.JSON[userChange](c.Request)
	if err != nil {
		return nil, err
	}
	if body.CurrentPassword != nil { // it is checked as at a login
		if err := limitAddress(c, h.limits.LoginPerAddress); err != nil {
			return nil, err
		}
		if err := h.limitPasswords(c, c.caller.Username); err != nil {
			return nil, err
		}
	}
	resp, err := h.db.UpdateUser(c.Request.Context(), &merchstorev1.UpdateUserRequest{
		Sid: sid, Username: body.Username, Email: body.Email,
		Password: body.Password, CurrentPassword: body.CurrentPassword,
	})
	c.user = resp.GetUser()
	return userBody(c.user), err
}

func (h *Handler) deactivateUser(c *call) (any, error) {
	sid, err := request.SID(c.Param("sid"))
	if err != nil {
		return nil, err
	}
	resp, err := h.db.DeactivateUser(c.Request.Context(), &merchstorev1.DeactivateUserRequest{Sid: sid})
	return userBody(resp.GetUser()), err
}

func (h *Handler) endAllSessions(c *call) (any, error) {
	sid, err := request.SID(c.Param("sid"))
	if err != nil {
		return nil, err
	}
	resp, err := h.db.EndAllSessions(c.Request.Context(), &merchstorev1.EndAllSessionsRequest{Sid: sid})
	return userBody(resp.GetUser()), err
}
